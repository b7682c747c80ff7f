{#
The primary key of a contract is made when the rows are there, by one sort. dbt's own makes it with the table, and has every
row look for its place in it: writes all over an index that is twice as large in the end. What the next build truncates
(`truncate_all`, see replace_changed.sql) is not vacuumed for having been filled.
#}
{% macro postgres__create_table_as(temporary, relation, sql) %}
    {{- dbt.postgres__create_table_as(temporary, relation, sql) -}}
    {% set key = primary_key() %}
    {% if key and config.get('contract').enforced and not temporary %}
    alter table {{ relation }} add primary key ({{ key | join(', ') }});
    {% endif %}
    {% if config.get('incremental_strategy') == 'truncate_all' and not temporary %}
    alter table {{ relation }} set (autovacuum_vacuum_insert_threshold = -1);
    {% endif %}
{% endmacro %}


{# Columns of a contract's table, their types and constraints, all but the primary key. #}
{% macro postgres__get_table_columns_and_constraints() %}
    {% set of_columns = {} %}
    {% for name, column in model['columns'].items() %}
        {% set constraints = column.get('constraints', []) | rejectattr('type', 'equalto', 'primary_key') | list %}
        {% set one = column.copy() %}
        {% do one.update({'constraints': constraints}) %}
        {% do of_columns.update({name: one}) %}
    {% endfor %}
    {% set of_table = model['constraints'] | rejectattr('type', 'equalto', 'primary_key') | list %}
    {% set lines = adapter.render_raw_columns_constraints(raw_columns=of_columns)
        + adapter.render_raw_model_constraints(raw_constraints=of_table) %}
    ({{ lines | join(',\n    ') }})
{% endmacro %}


{# Columns of the model's primary key, which stands at its column or, where it has several, at the model. #}
{% macro primary_key() %}
    {% set key = [] %}
    {% for constraint in model['constraints'] if constraint['type'] == 'primary_key' %}
        {% do key.extend(constraint['columns']) %}
    {% endfor %}
    {% for name, column in model['columns'].items() %}
        {% for constraint in column.get('constraints', []) if constraint['type'] == 'primary_key' %}
            {% do key.append(name) %}
        {% endfor %}
    {% endfor %}
    {{ return(key) }}
{% endmacro %}
