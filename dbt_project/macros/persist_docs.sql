{#
Comments are written where they differ only. dbt writes all of them in every build: each locks its relation, and
reading the columns first takes longer than many a view.
#}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- set known = fromjson(run_query(
        "select json_build_object('relation', obj_description('" ~ relation ~ "'::regclass, 'pg_class'), 'columns',"
        " json_object_agg(attname, col_description(attrelid, attnum)))::text from pg_attribute"
        " where attrelid = '" ~ relation ~ "'::regclass and attnum > 0 and not attisdropped"
    ).columns[0][0]) -%}
    {%- if for_relation and config.persist_relation_docs() and model.description
        and model.description != known.relation -%}
        {% do run_query(alter_relation_comment(relation, model.description)) %}
    {%- endif -%}
    {%- if for_columns and config.persist_column_docs() -%}
        {%- set comments = [] -%}
        {%- for name, column in model.columns.items()
            if name in known.columns and column.description != (known.columns[name] or '') -%}
            {%- do comments.append(
                'comment on column ' ~ relation ~ '.' ~ adapter.quote(name) ~ ' is '
                ~ postgres_escape_comment(column.description)
            ) -%}
        {%- endfor -%}
        {%- if comments -%}
            {% do run_query(comments | join(';\n')) %}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
